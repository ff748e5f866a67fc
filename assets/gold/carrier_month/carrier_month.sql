SELECT
    flights.month,
    flights.carrier,
    airlines.name AS carrier_name,
    count(*) AS flights,
    count(*) FILTER (WHERE flights.cancelled) AS cancelled,
    count(*) FILTER (WHERE flights.diverted) AS diverted,
    count(flights.arrival_delay_minutes) AS arrived,
    avg(planes.seats) AS mean_seats, -- of the aircraft as the register knew them at departure
    avg(CAST(flights.cancelled AS INTEGER)) AS share_cancelled,
    avg(CAST(flights.arrival_delay_minutes > 15 AS INTEGER)) AS share_late,
    avg(flights.departure_delay_minutes) AS mean_departure_delay_minutes,
    median(flights.departure_delay_minutes) AS median_departure_delay_minutes,
    avg(flights.arrival_delay_minutes) AS mean_arrival_delay_minutes,
    median(flights.arrival_delay_minutes) AS median_arrival_delay_minutes,
    greatest(max(flights.known_at), max(airlines.known_at), max(planes.valid_from)) AS known_at
FROM silver.flights AS flights
LEFT JOIN silver.planes AS planes
    ON planes.tailnum = flights.tailnum
    AND planes.valid_from <= flights.scheduled_departure
    AND (planes.valid_to IS NULL OR planes.valid_to > flights.scheduled_departure)
LEFT JOIN silver.airlines AS airlines ON airlines.carrier = flights.carrier
GROUP BY flights.month, flights.carrier, airlines.name

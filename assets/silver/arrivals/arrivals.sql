SELECT
    concat_ws('.', flight_date, carrier, flight, origin) AS flight_id,
    status = 'diverted' AS diverted,
    arrival_delay_minutes,
    air_time_minutes,
    known_at,
    month
FROM bronze.arrivals

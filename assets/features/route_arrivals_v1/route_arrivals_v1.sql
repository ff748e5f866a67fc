SELECT
    origin,
    dest,
    arrival_known_at AS event_time,
    arrival_known_at AS known_at,
    arrival_delay_minutes,
    CAST(arrival_delay_minutes > 15 AS INTEGER) AS late,
    month
FROM silver.flights
WHERE arrival_delay_minutes IS NOT NULL

-- One row a flight; those that leave in the same minute give the same row, with the month of the first of them.
SELECT
    origin,
    departure_known_at AS event_time,
    departure_known_at AS known_at,
    avg(departure_delay_minutes) OVER recent AS origin_congestion_mean_delay_minutes,
    avg(CAST(departure_delay_minutes > 15 AS INTEGER)) OVER recent AS origin_congestion_share_late,
    count(*) OVER recent AS origin_congestion_count,
    min(month) OVER (PARTITION BY origin, departure_known_at) AS month
FROM silver.flights
WHERE NOT cancelled
WINDOW recent AS (
    PARTITION BY origin ORDER BY departure_known_at RANGE BETWEEN INTERVAL 3 HOURS PRECEDING AND CURRENT ROW
)

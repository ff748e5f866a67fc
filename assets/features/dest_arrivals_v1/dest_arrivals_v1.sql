-- One row a flight; those known in the same minute give the same row, with the month of the first of them.
SELECT
    dest,
    arrival_known_at AS event_time,
    arrival_known_at AS known_at,
    avg(arrival_delay_minutes) OVER recent AS dest_arrivals_mean_delay_minutes,
    avg(CAST(arrival_delay_minutes > 15 AS INTEGER)) OVER recent AS dest_arrivals_share_late,
    min(month) OVER (PARTITION BY dest, arrival_known_at) AS month
FROM silver.flights
WHERE arrival_delay_minutes IS NOT NULL
WINDOW recent AS (
    PARTITION BY dest ORDER BY arrival_known_at RANGE BETWEEN INTERVAL 6 HOURS PRECEDING AND CURRENT ROW
)

-- A late flight joins the queue when it is due and leaves it when it departs or is cancelled, within 12 hours.
WITH late AS (
    SELECT
        origin,
        month,
        scheduled_departure AS joined_at,
        least(departure_known_at, scheduled_departure + INTERVAL 12 HOURS) AS left_at
    FROM silver.flights
    WHERE departure_known_at IS NULL OR departure_known_at > scheduled_departure
),

steps AS (
    SELECT origin, month, joined_at AS known_at, 1 AS step
    FROM late
    UNION ALL
    SELECT origin, month, left_at AS known_at, -1 AS step
    FROM late
)

-- Steps of the same minute give the same row, with the month of the first of them.
SELECT
    origin,
    known_at AS event_time,
    known_at,
    CAST(sum(step) OVER (PARTITION BY origin ORDER BY known_at RANGE UNBOUNDED PRECEDING) AS INTEGER)
        AS origin_queue_flights,
    min(month) OVER (PARTITION BY origin, known_at) AS month
FROM steps
-- That a flight has not left is known only up to the last departure that was reported.
WHERE known_at <= (SELECT max(departure_known_at) FROM silver.flights)

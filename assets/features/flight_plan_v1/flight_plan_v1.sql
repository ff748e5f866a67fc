WITH plans AS (
    SELECT *, scheduled_departure AT TIME ZONE 'America/New_York' AS local_departure
    FROM silver.flight_plans
),

in_context AS (
    SELECT
        *,
        count(*) OVER same_hour AS departures_in_hour,
        max(known_at) OVER same_hour AS hour_known_at
    FROM plans
    WINDOW same_hour AS (PARTITION BY month, origin, flight_date, hour(local_departure))
)

SELECT
    flight_id,
    hour_known_at AS event_time,
    hour_known_at AS known_at,
    carrier,
    origin,
    dest,
    distance_miles,
    hour(local_departure) * 60 + minute(local_departure) AS scheduled_minute_of_day,
    date_diff('day', DATE '2012-12-31', flight_date) % 7 AS scheduled_weekday, -- from a Monday: 0 is Monday
    departures_in_hour,
    month
FROM in_context

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
    WINDOW same_hour AS (PARTITION BY origin, flight_date, hour(local_departure))
)

SELECT
    plans.flight_id,
    greatest(plans.hour_known_at, planes.known_at) AS event_time,
    greatest(plans.hour_known_at, planes.known_at) AS known_at,
    plans.carrier,
    plans.origin,
    plans.dest,
    plans.distance_miles,
    hour(plans.local_departure) * 60 + minute(plans.local_departure) AS scheduled_minute_of_day,
    date_diff('day', DATE '2012-12-31', plans.flight_date) % 7 AS scheduled_weekday, -- from a Monday: 0 is Monday
    plans.departures_in_hour,
    planes.seats,
    plans.month
FROM in_context AS plans
LEFT JOIN silver.planes AS planes ON planes.tailnum = plans.tailnum

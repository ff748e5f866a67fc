SELECT
    flight_id,
    scheduled_departure - INTERVAL 1 HOUR AS event_time,
    known_at,
    cancelled,
    arrival_delay_minutes,
    arrival_delay_minutes > 15 AS arrived_late, -- null without an arrival delay: cancelled, diverted, not yet landed
    month
FROM silver.flights

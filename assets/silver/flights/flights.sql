SELECT
    plans.flight_id,
    plans.flight_date,
    plans.carrier,
    plans.flight,
    plans.origin,
    plans.dest,
    departures.tailnum,
    plans.distance_miles,
    plans.scheduled_departure,
    departures.cancelled, -- null until something is known of the departure
    arrivals.diverted,
    departures.departure_delay_minutes,
    arrivals.arrival_delay_minutes,
    arrivals.air_time_minutes,
    plans.known_at AS plan_known_at,
    departures.known_at AS departure_known_at,
    arrivals.known_at AS arrival_known_at,
    greatest(plans.known_at, departures.known_at, arrivals.known_at) AS known_at,
    plans.month
FROM silver.flight_plans AS plans
LEFT JOIN silver.departures AS departures ON departures.flight_id = plans.flight_id
LEFT JOIN silver.arrivals AS arrivals ON arrivals.flight_id = plans.flight_id

SELECT
    concat_ws('.', flight_date, carrier, flight, origin) AS flight_id,
    status = 'cancelled' AS cancelled,
    tailnum,
    departure_delay_minutes,
    known_at,
    month
FROM bronze.departures

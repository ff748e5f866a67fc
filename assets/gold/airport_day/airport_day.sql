WITH traffic AS (
    SELECT
        month,
        origin,
        flight_date,
        count(*) AS flights,
        count(*) FILTER (WHERE cancelled) AS cancelled,
        count(departure_delay_minutes) AS departed,
        avg(CAST(cancelled AS INTEGER)) AS share_cancelled,
        avg(CAST(departure_delay_minutes > 15 AS INTEGER)) AS share_departed_late,
        avg(departure_delay_minutes) AS mean_departure_delay_minutes,
        median(departure_delay_minutes) AS median_departure_delay_minutes,
        avg(CAST(arrival_delay_minutes > 15 AS INTEGER)) AS share_arrived_late,
        max(known_at) AS known_at
    FROM silver.flights
    GROUP BY month, origin, flight_date
),

weather AS (
    SELECT
        origin,
        CAST(observed_at AT TIME ZONE 'America/New_York' AS DATE) AS observed_on,
        count(*) AS weather_observations,
        min(temperature_f) AS lowest_temperature_f,
        max(temperature_f) AS highest_temperature_f,
        max(wind_speed_mph) AS highest_wind_speed_mph,
        min(visibility_miles) AS lowest_visibility_miles,
        -- Decimals add up the same in any order; the source reports hundredths.
        CAST(sum(CAST(precipitation_inches AS DECIMAL(9, 2))) AS DOUBLE) AS precipitation_inches,
        max(known_at) AS known_at
    FROM silver.weather
    GROUP BY 1, 2
)

SELECT
    traffic.month,
    traffic.origin AS airport,
    airports.name AS airport_name,
    traffic.flight_date,
    traffic.flights,
    traffic.cancelled,
    traffic.departed,
    traffic.share_cancelled,
    traffic.share_departed_late,
    traffic.mean_departure_delay_minutes,
    traffic.median_departure_delay_minutes,
    traffic.share_arrived_late,
    weather.weather_observations,
    weather.lowest_temperature_f,
    weather.highest_temperature_f,
    weather.highest_wind_speed_mph,
    weather.lowest_visibility_miles,
    weather.precipitation_inches,
    greatest(traffic.known_at, weather.known_at, airports.known_at) AS known_at
FROM traffic
LEFT JOIN weather ON weather.origin = traffic.origin AND weather.observed_on = traffic.flight_date
LEFT JOIN silver.airports AS airports ON airports.airport = traffic.origin

SELECT
    origin,
    observed_at AS event_time,
    known_at,
    temperature_f,
    dew_point_f,
    humidity_percent,
    wind_direction_degrees,
    wind_speed_mph,
    wind_gust_mph,
    precipitation_inches,
    pressure_hpa,
    visibility_miles,
    month
FROM silver.weather

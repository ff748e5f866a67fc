SELECT
    origin,
    event_time AS observed_at,
    temp AS temperature_f,
    dewp AS dew_point_f,
    humid AS humidity_percent,
    wind_dir AS wind_direction_degrees,
    wind_speed AS wind_speed_mph,
    wind_gust AS wind_gust_mph,
    precip AS precipitation_inches,
    pressure AS pressure_hpa,
    visib AS visibility_miles,
    known_at,
    month
FROM bronze.weather

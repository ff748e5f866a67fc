SELECT
    faa AS airport,
    name,
    lat AS latitude_degrees,
    lon AS longitude_degrees,
    alt AS altitude_feet,
    tzone AS time_zone,
    known_at
FROM bronze.airports

SELECT
    tailnum,
    year AS built_in_year,
    type,
    manufacturer,
    model,
    engine,
    engines,
    seats,
    known_at
FROM bronze.planes

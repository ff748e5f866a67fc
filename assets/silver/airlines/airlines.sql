SELECT
    carrier,
    name,
    known_at
FROM bronze.airlines

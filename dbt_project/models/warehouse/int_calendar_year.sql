select year from generate_series(2000, 2035) as year

{#- Easter Sunday of a year in the Gregorian calendar (the anonymous algorithm printed by Meeus, Astronomical
    Algorithms, chapter 8). Reads the column `year` of `years` and gives (year, easter). -#}
{% macro easter_of(years) -%}
    select
        g.year,
        make_date(g.year, (g.h + g.l - 7 * g.m + 114) / 31, (g.h + g.l - 7 * g.m + 114) % 31 + 1) as easter
    from (
        select
            f.*,
            (f.a + 11 * f.h + 22 * f.l) / 451 as m
        from (
            select
                e.*,
                (32 + 2 * e.e + 2 * e.i - e.h - e.k) % 7 as l
            from (
                select
                    y.year,
                    y.year % 19 as a,
                    (y.year / 100) % 4 as e,
                    (y.year % 100) / 4 as i,
                    (y.year % 100) % 4 as k,
                    (
                        19 * (y.year % 19) + y.year / 100 - y.year / 400
                        - (y.year / 100 - (y.year / 100 + 8) / 25 + 1) / 3 + 15
                    ) % 30 as h
                from {{ years }} as y
            ) as e
        ) as f
    ) as g
{%- endmacro %}

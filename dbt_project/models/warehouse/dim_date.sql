with days as (
    select day::date as date_day
    from generate_series(date '2000-01-01', date '2035-12-31', interval '1 day') as day
),

names as (
    select
        array[
            'tammikuu', 'helmikuu', 'maaliskuu', 'huhtikuu', 'toukokuu', 'kesäkuu',
            'heinäkuu', 'elokuu', 'syyskuu', 'lokakuu', 'marraskuu', 'joulukuu'
        ] as month_fi,
        array[
            'januari', 'februari', 'mars', 'april', 'maj', 'juni',
            'juli', 'augusti', 'september', 'oktober', 'november', 'december'
        ] as month_sv,
        array[
            'January', 'February', 'March', 'April', 'May', 'June',
            'July', 'August', 'September', 'October', 'November', 'December'
        ] as month_en,
        array['maanantai', 'tiistai', 'keskiviikko', 'torstai', 'perjantai', 'lauantai', 'sunnuntai'] as weekday_fi,
        array['måndag', 'tisdag', 'onsdag', 'torsdag', 'fredag', 'lördag', 'söndag'] as weekday_sv,
        array['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as weekday_en
),

parts as (
    select
        date_day,
        extract(year from date_day)::integer as year,
        extract(quarter from date_day)::integer as quarter,
        extract(month from date_day)::integer as month,
        extract(day from date_day)::integer as day_of_month,
        extract(isoyear from date_day)::integer as iso_year,
        extract(week from date_day)::integer as iso_week,
        extract(isodow from date_day)::integer as weekday,
        date_trunc('month', date_day)::date as month_start,
        (date_trunc('month', date_day) + interval '1 month')::date - 1 as month_end,
        (date_trunc('year', date_day) + interval '1 year')::date - date_trunc('year', date_day)::date as days_in_year
    from days
)

select
    parts.date_day,
    parts.year,
    parts.quarter,
    parts.month,
    parts.day_of_month,
    parts.iso_year,
    parts.iso_week,
    parts.weekday,
    parts.month_start,
    parts.month_end,
    parts.days_in_year,
    names.month_fi[parts.month] as month_fi,
    names.month_sv[parts.month] as month_sv,
    names.month_en[parts.month] as month_en,
    names.weekday_fi[parts.weekday] as weekday_fi,
    names.weekday_sv[parts.weekday] as weekday_sv,
    names.weekday_en[parts.weekday] as weekday_en,
    holiday.name_fi as holiday_fi,
    holiday.name_sv as holiday_sv,
    holiday.name_en as holiday_en,
    coalesce(holiday.is_public, false) as is_public_holiday,
    parts.weekday <= 5 and holiday.date_day is null as is_working_day
from parts
cross join names
left join {{ ref('int_holiday') }} as holiday on parts.date_day = holiday.date_day

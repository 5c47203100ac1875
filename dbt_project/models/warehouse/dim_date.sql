with days as (
    select day::date as date_day
    from generate_series(date '2000-01-01', date '2035-12-31', interval '1 day') as day
),

years as (
    select year from generate_series(2000, 2035) as year
),

easter as (
    {{ easter_of('years') }}
),

-- Public holidays, and the two eves that are free days in municipal collective agreements (KVTES III 24 §: the eves
-- of midsummer and Christmas shorten the working time as a holiday does) but not public holidays.
holidays as (
    select
        h.date_day,
        h.name_fi,
        h.name_sv,
        h.name_en,
        h.is_public
    from easter as e
    cross join
        lateral (
            values
            (make_date(e.year, 1, 1), 'uudenvuodenpäivä', 'nyårsdagen', 'New Year''s Day', true),
            (make_date(e.year, 1, 6), 'loppiainen', 'trettondagen', 'Epiphany', true),
            (e.easter - 2, 'pitkäperjantai', 'långfredagen', 'Good Friday', true),
            (e.easter, 'pääsiäispäivä', 'påskdagen', 'Easter Sunday', true),
            (e.easter + 1, 'toinen pääsiäispäivä', 'annandag påsk', 'Easter Monday', true),
            (make_date(e.year, 5, 1), 'vappu', 'första maj', 'May Day', true),
            (e.easter + 39, 'helatorstai', 'Kristi himmelsfärdsdag', 'Ascension Day', true),
            (e.easter + 49, 'helluntaipäivä', 'pingstdagen', 'Whit Sunday', true),
            -- Saturday of 20–26 June and the day before it.
            (
                make_date(e.year, 6, 26) - (extract(isodow from make_date(e.year, 6, 26))::integer + 1) % 7 - 1,
                'juhannusaatto', 'midsommarafton', 'Midsummer Eve', false
            ),
            (
                make_date(e.year, 6, 26) - (extract(isodow from make_date(e.year, 6, 26))::integer + 1) % 7,
                'juhannuspäivä', 'midsommardagen', 'Midsummer Day', true
            ),
            -- Saturday of 31 October – 6 November.
            (
                make_date(e.year, 11, 6) - (extract(isodow from make_date(e.year, 11, 6))::integer + 1) % 7,
                'pyhäinpäivä', 'alla helgons dag', 'All Saints'' Day', true
            ),
            (make_date(e.year, 12, 6), 'itsenäisyyspäivä', 'självständighetsdagen', 'Independence Day', true),
            (make_date(e.year, 12, 24), 'jouluaatto', 'julafton', 'Christmas Eve', false),
            (make_date(e.year, 12, 25), 'joulupäivä', 'juldagen', 'Christmas Day', true),
            (make_date(e.year, 12, 26), 'tapaninpäivä', 'annandag jul', 'St Stephen''s Day', true)
        ) as h (date_day, name_fi, name_sv, name_en, is_public)
),

-- Ascension Day fell on May Day in 2008: one row a day, both names.
holiday_of_day as (
    select
        date_day,
        string_agg(name_fi, ', ' order by name_fi) as name_fi,
        string_agg(name_sv, ', ' order by name_fi) as name_sv,
        string_agg(name_en, ', ' order by name_fi) as name_en,
        bool_or(is_public) as is_public
    from holidays
    group by date_day
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
left join holiday_of_day as holiday on parts.date_day = holiday.date_day

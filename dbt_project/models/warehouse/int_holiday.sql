with easter as (
    {{ easter_of(ref('int_calendar_year')) }}
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
)

-- Ascension Day fell on May Day in 2008: one row a day, both names.
select
    date_day,
    string_agg(name_fi, ', ' order by name_fi) as name_fi,
    string_agg(name_sv, ', ' order by name_fi) as name_sv,
    string_agg(name_en, ', ' order by name_fi) as name_en,
    bool_or(is_public) as is_public
from holidays
group by date_day

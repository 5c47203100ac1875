-- By month, class and where the patient lives, with the total of the month; what is hidden is decided by the macro
-- disclosure_control. On the day after the sector's last day in the town another organiser began, with another area and
-- other systems: the months before and after are two series.
with contributions as (
    select
        month_start,
        class_code,
        residence,
        patient_key,
        encounters
    from {{ ref('int_encounter_patient_month') }}
),

{{ disclosure_control(
    'contributions', period='month_start', cell=['class_code', 'residence'], person='patient_key', amount='encounters'
) }},

figures as (
    select
        month_start,
        class_code,
        residence,
        false as is_total,
        sum(encounters)::integer as encounters,
        count(*)::integer as patients
    from contributions
    group by month_start, class_code, residence
    union all
    select
        month_start,
        'all' as class_code,
        'all' as residence,
        true as is_total,
        sum(encounters)::integer as encounters,
        count(distinct patient_key)::integer as patients
    from contributions
    group by month_start
),

residences (residence, name_fi, name_sv, name_en) as (
    values
    ('all', 'Yhteensä', 'Totalt', 'Total'),
    ('town', 'Oma kunta', 'Egna kommunen', 'The town'),
    ('elsewhere', 'Muu kunta', 'Annan kommun', 'Elsewhere'),
    ('unknown', 'Ei tiedossa', 'Okänd', 'Not known')
),

county as (
    select date_trunc('month', max(valid_until) + 1)::date as first_month
    from {{ ref('dim_sector') }}
    where sector_code = 'social_health'
)

select
    figures.month_start,
    extract(year from figures.month_start)::integer as year,
    figures.class_code,
    case when figures.is_total then 'Yhteensä' else coalesce(class.name_fi, figures.class_code) end as class_fi,
    case when figures.is_total then 'Totalt' else coalesce(class.name_sv, figures.class_code) end as class_sv,
    case when figures.is_total then 'Total' else coalesce(class.name_en, figures.class_code) end as class_en,
    figures.residence,
    residences.name_fi as residence_fi,
    residences.name_sv as residence_sv,
    residences.name_en as residence_en,
    figures.is_total,
    case when not protected.is_suppressed then figures.encounters end as encounters,
    case when not protected.is_suppressed then figures.patients end as patients,
    protected.is_suppressed,
    case when protected.is_suppressed then 'disclosure_control' end as suppression_reason,
    case
        when figures.month_start >= county.first_month then 'wellbeing_services_county' else 'town'
    end as organiser,
    coalesce(figures.month_start = county.first_month, false) as is_series_break,
    figures.month_start + interval '1 month' <= {{ build_date() }} as is_complete_month
from figures
inner join protected
    on
        figures.month_start = protected.month_start
        and figures.is_total = protected.is_total
        and (figures.is_total or (figures.class_code, figures.residence) = (protected.class_code, protected.residence))
inner join residences on figures.residence = residences.residence
cross join county
left join {{ ref('encounter_class') }} as class on figures.class_code = class.class_code

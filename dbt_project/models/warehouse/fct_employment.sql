select
    {{ surrogate_key(['employments.employment_number']) }} as employment_key,
    employments.employment_number,
    coalesce(xref.employee_id, {{ unknown_key() }}) as employee_key,
    case
        when employments.unit_code is null then {{ unknown_key() }}
        else {{ surrogate_key(["'unit_code'", 'employments.unit_code']) }}
    end as organisation_unit_key,
    employments.sector as sector_code,
    employments.cost_centre,
    employments.job_title_fi,
    coalesce(employments.job_title_sv, employments.job_title_fi) as job_title_sv,
    employments.pricing_code,
    employments.agreement,
    employments.employment_type,
    employments.working_time_share,
    employments.start_date,
    employments.end_date
from {{ ref('stg_hr__employments') }} as employments
left join {{ ref('employee_xref') }} as xref on employments.person_number = xref.source_id

-- Several ids of one patient are one person when the same valid identity code says so. Where the home municipality is
-- not known or not kept (non-disclosure), nobody guesses whether the person lives in the town.
select
    patient_id,
    {{ surrogate_key(['coalesce(case when identity_code_valid then identity_code end, patient_id)']) }} as patient_key,
    case
        when municipality_code is null then 'unknown'
        when municipality_code = '{{ var("municipality_code") }}' then 'town'
        else 'elsewhere'
    end as residence
from {{ ref('stg_social_health__patients') }}

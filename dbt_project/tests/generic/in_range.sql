{% test in_range(model, column_name, minimum, maximum) %}
select 1
from {{ model }}
where {{ column_name }} < {{ minimum }} or {{ column_name }} > {{ maximum }}
{% endtest %}

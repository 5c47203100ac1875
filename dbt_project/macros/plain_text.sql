{#- Text without HTML: tags go, the entities that sources of statistics use become their characters, blanks are single.
    A < that begins no tag stays. &amp; comes last, so that &amp;lt; does not become a tag. -#}
{% macro plain_text(column) -%}
    {%- set entities = {
        '&nbsp;': ' ', '&#160;': ' ', '&quot;': '"', '&lt;': '<', '&gt;': '>', '&le;': '≤', '&#8804;': '≤', '&ge;': '≥',
        '&#8805;': '≥', '&ndash;': '–', '&#8211;': '–', '&amp;': '&'
    } -%}
    {%- set ns = namespace(text="regexp_replace(" ~ column ~ ", '</?[A-Za-z][^>]*>', ' ', 'g')") -%}
    {%- for entity, character in entities.items() -%}
        {%- set ns.text = "replace(" ~ ns.text ~ ", '" ~ entity ~ "', '" ~ character ~ "')" -%}
    {%- endfor -%}
    nullif(btrim(regexp_replace({{ ns.text }}, '\s+', ' ', 'g')), '')
{%- endmacro %}

# The image of every service of the platform, started by docker-compose.yml; see docs/how-to/install-on-a-server.md.
# The Python that CI tests with, on Debian: the wheels of requirements.txt need glibc.
ARG PYTHON=python:3.11.14-slim-bookworm

# The environment alone: it takes minutes and a gigabyte, and changes with requirements.txt only.
FROM ${PYTHON} AS environment
WORKDIR /opt/citydata
COPY citydata requirements.txt ./
# The launcher makes the environment before it hands over to the command line, for which an empty one is enough here. Docker passes
# HTTP_PROXY, HTTPS_PROXY and NO_PROXY by itself. A mirror and its login (pip.conf) and certificates of one's own (a bundle) are secrets
# of the build, which stay in no layer: docker build --secret id=pip,src=… --secret id=ca,src=…
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    if [ -s /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem SSL_CERT_FILE=/run/secrets/ca.pem; fi \
    && mkdir --parents include/citydata \
    && touch include/citydata/__init__.py include/citydata/cli.py \
    && ./citydata

FROM ${PYTHON}
# A fixed number, so that files on volumes belong to the same user after every upgrade. Volumes take over the owner of these directories.
RUN groupadd --system --gid 10001 citydata \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/citydata --no-create-home --shell /usr/sbin/nologin citydata \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/citydata /var/lib/citydata/archive \
        /var/lib/citydata/dbt /var/lib/citydata/drop /var/lib/citydata/export /var/lib/citydata/logs
WORKDIR /opt/citydata
COPY --from=environment /opt/citydata/.venv .venv
COPY citydata requirements.txt LICENSE ./
COPY dags dags
COPY dbt_project dbt_project
COPY expectations expectations
COPY include include
COPY plugins plugins
# The code belongs to root and nobody else writes to it, so what Python would keep beside it is made now.
RUN chmod --recursive u=rwX,go=rX citydata dags dbt_project expectations include plugins \
    && .venv/bin/python -m compileall -q dags expectations include plugins
ENV CITYDATA_HOME=/var/lib/citydata \
    HOME=/var/lib/citydata \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["/opt/citydata/citydata"]
CMD ["--help"]

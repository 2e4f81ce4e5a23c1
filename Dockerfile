ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS dependencies
# Of whatever version the base has: nothing of it is shipped.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/venv
COPY requirements.txt /opt/requirements.txt
RUN /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check --no-cache-dir install \
      --no-compile --only-binary=:all: --require-hashes --requirement /opt/requirements.txt
# Wheels are 130 MB, most of it debugging symbols, tests and the colours of 300 languages (tracebacks are in Python). Of
# dependencies the bytecode is enough: tracebacks still name file and line, and the lock the release.
RUN find /opt/venv/lib -type d \( -name tests -o -name testing \) -prune -exec rm -r {} + \
 && find /opt/venv/lib -path '*/pygments/lexers/*.py' ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' \
      ! -name 'special.py' -delete \
 && find /opt/venv/lib -name '*.so*' -exec strip --strip-unneeded {} + \
 && python -m compileall -q -b -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
 && find /opt/venv/lib -regex '.*\.\(py\|pyi\|pyx\|pxd\|pxi\|c\|h\)' -delete

# The sources as they are, not a wheel of them: a build backend would come without a hash.
FROM ${PYTHON_IMAGE} AS application
COPY LICENSE /opt/relay/LICENSE
COPY relay /opt/relay/lib/relay
RUN mkdir /opt/relay/bin \
 && printf '%s\n' '#!/opt/venv/bin/python' 'from relay.cli import main' '' 'main()' > /opt/relay/bin/relay \
 && chmod -R u=rwX,go=rX /opt/relay \
 && chmod 0755 /opt/relay/bin/relay \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/relay/lib

FROM ${PYTHON_IMAGE}
# Group 0 may write: some platforms choose the user, and always that group.
RUN mkdir /data && chown 10001:0 /data && chmod 0771 /data

COPY --from=dependencies /opt/venv /opt/venv
COPY --from=application /opt/relay /opt/relay
# The official base has no bytecode of the standard library: the health check would compile the same files each time.
RUN PYTHONPATH=/opt/relay/lib /opt/venv/bin/python -c 'import relay.cli.health, relay.cli.operate, relay.cli.serving, relay.cli.migrating, http.client'

ENV PATH=/opt/relay/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/relay/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_SERVER__HOST=0.0.0.0

# The database's default, relay.db, is relative to this. A variable would win over a mounted file or secret.
WORKDIR /data
VOLUME /data
EXPOSE 8080
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["relay", "healthcheck"]
ENTRYPOINT ["relay"]
CMD ["serve"]

# Last, so that a new version changes no layer before it.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="camb-relay" \
      org.opencontainers.image.description="Webhooks for CAMB.AI's asynchronous tasks" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

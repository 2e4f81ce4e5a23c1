ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS dependencies
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/venv
COPY requirements.txt /opt/requirements.txt
RUN /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check --no-cache-dir install \
      --no-compile --only-binary=:all: --require-hashes --requirement /opt/requirements.txt \
 && /opt/pip/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

# The sources as they are, not a wheel of them: a build backend would come without a hash.
FROM ${PYTHON_IMAGE} AS application
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
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["relay", "healthcheck"]
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

# One container with everything: docs/docker.md says how to run it.
FROM python:3.12-slim
WORKDIR /plumbline
COPY requirements.lock pyproject.toml requirements.in README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY app app
COPY connectors connectors
COPY seed_data seed_data
COPY docs docs
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system --create-home --home-dir /data plumbline
USER plumbline
ENV PLUMBLINE_HOST=0.0.0.0 PLUMBLINE_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --start-period=20s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["plumbline", "serve"]

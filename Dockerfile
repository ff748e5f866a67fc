# The platform's image: what a job or a server of a managed service runs in. `make image` builds it.
# SageMaker starts it as it is (`train`, `process`, `serve`); Vertex AI and Databricks name the program that they start.
# Databricks' clusters ask for a base of theirs (a JDK, sudo and more): make image BASE=databricksruntime/…
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
WORKDIR /build
COPY requirements-image.lock .
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY ml_platform ml_platform
COPY resources resources
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && find /opt/venv -name __pycache__ -prune -exec rm -rf {} +

FROM ${BASE}
# LightGBM's wheel leaves OpenMP to the system.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 platform && install -d -o platform /opt/ml
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE MPLBACKEND=Agg
USER platform
WORKDIR /home/platform
EXPOSE 8080
ENTRYPOINT ["python", "-m", "resources.aws.edge"]

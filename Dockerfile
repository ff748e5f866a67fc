# The platform's image: what a job or a server of a managed service runs in. `make image` builds it.
# SageMaker starts it as it is (`train`, `process`, `serve`); Vertex AI and Databricks name the program that they start.
# Databricks' clusters ask for a base of theirs (a JDK, sudo and more), whose Python and whose user they start programs
# by: make image BASE=databricksruntime/… IMAGE_VENV=/databricks/python3 IMAGE_USER=root
ARG BASE=python:3.11-slim
# Where the platform is installed: a virtual environment, which is made where the base has none there.
ARG VENV=/opt/venv
ARG RUNS_AS=platform
FROM ${BASE} AS build
ARG VENV
WORKDIR /build
COPY requirements-image.lock .
RUN test -x ${VENV}/bin/python || python3 -m venv ${VENV}
RUN ${VENV}/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes \
      -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY ml_platform ml_platform
COPY resources resources
RUN ${VENV}/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && find ${VENV} -name __pycache__ -prune -exec rm -rf {} +

FROM ${BASE}
ARG VENV
ARG RUNS_AS
# LightGBM's wheel leaves OpenMP to the system. What the base has in the environment's place goes: pip has replaced some.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* ${VENV} \
 && useradd --create-home --uid 10001 platform && install -d -o platform /opt/ml
COPY --from=build ${VENV} ${VENV}
ENV PATH=${VENV}/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE MPLBACKEND=Agg
USER ${RUNS_AS}
WORKDIR /home/platform
EXPOSE 8080
ENTRYPOINT ["python", "-m", "resources.aws.edge"]

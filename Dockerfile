# One image for web, pdp, worker and beat. Built from the locked dependencies; runs as nobody in particular, writes nowhere but /var/lib/countersign.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements/server.lock requirements/server.lock
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/server.lock
COPY . .
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/countersign --create-home countersign
COPY --from=build /venv /venv
COPY --from=build --chown=root:root /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    COUNTERSIGN_KEYS_DIR=/var/lib/countersign/keys COUNTERSIGN_CHECKPOINTS_DIR=/var/lib/countersign/checkpoints
USER countersign
VOLUME /var/lib/countersign
EXPOSE 8000
CMD ["python", "manage.py", "up", "--host", "0.0.0.0"]

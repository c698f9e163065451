# primaps for CPUs: docs/how-to/container.md says how to build it and how to use it.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
# Address of an index with PyTorch's builds for CPUs; PyTorch's own pages on installation name it. Empty: the usual
# index, whose builds bring several gigabytes for GPUs.
ARG TORCH_INDEX=""
ARG EXTRAS=demo,studio
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/primaps \
    && if [ -n "$TORCH_INDEX" ]; then \
        /opt/primaps/bin/pip install --index-url "$TORCH_INDEX" "torch>=2.5" "torchvision>=0.20"; \
    fi
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY tools/readme_hook.py tools/
COPY src src
RUN /opt/primaps/bin/pip install ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
# Anybody may be the user (docker run --user): caches of weights and of compiled loops go to a home that all can write.
RUN useradd --create-home --uid 1000 primaps \
    && install --directory --mode 0777 /home/primaps /home/primaps/.cache /data
COPY --from=build /opt/primaps /opt/primaps
ENV PATH=/opt/primaps/bin:$PATH HOME=/home/primaps MPLBACKEND=agg
USER 1000
WORKDIR /data
VOLUME /data
ENTRYPOINT ["primaps"]
CMD ["--help"]

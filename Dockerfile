# CUDA:  docker build -t lgad .     (torch as PyPI has it brings CUDA along)
# CPU:   docker build -t lgad --build-arg TORCH_INDEX=URL .     (URL: the index for CPU that PyTorch's "Get started" names)
# Run:   docker run --rm -v "$PWD:/work" lgad lgad-fit
#        docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" -v /data:/data lgad lgad-fit data.root=/data/CULane
FROM python:3.11-slim

ARG TORCH_INDEX=

WORKDIR /package
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY conf conf
RUN grep '^torch==' constraints.txt > torch.txt \
    && pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement torch.txt \
    && pip install --no-cache-dir -c constraints.txt ".[export]" \
    && useradd --create-home --uid 1000 lgad \
    && mkdir /work && chown lgad /work

USER 1000
WORKDIR /work
CMD ["lgad-fit", "--help"]

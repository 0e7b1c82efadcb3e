# featx on a CPU. Not built in the project's own checks: docker build -t featx . && docker run --rm featx run digits
FROM python:3.13-slim
# The wheels of torch for CPUs alone are a tenth of the download of those for GPUs. PyTorch's page on installation names
# the index that has them: docker build --build-arg TORCH_INDEX=THAT_INDEX -t featx .
ARG TORCH_INDEX
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
COPY . /src
RUN pip install --no-cache-dir "/src[openvino,timm]" && pip uninstall -y openvino-telemetry && rm -rf /src
RUN useradd --create-home featx
USER featx
WORKDIR /data
ENV FEATX_CACHE=/data/cache
ENTRYPOINT ["featx"]
CMD ["--help"]

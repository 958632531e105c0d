# Either program, static, as user 65532, with nothing beside it:
#   docker build --build-arg PROGRAM=etcd_exporter -t etcd_exporter .
# From bin/PROGRAM (make build) and an empty base, pulling nothing:
#   docker build --target prebuilt --build-arg BASE=scratch -t etcd_exporter .
# For etcd_remediator add --build-arg PORT=10380.
ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM ${BASE} AS runtime
ARG PROGRAM=etcd_exporter
ARG PORT=10379
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="${PROGRAM}" \
      org.opencontainers.image.source="https://github.com/etcdops/etcdops" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
EXPOSE ${PORT}
# An exec-form entrypoint sees no ARG, so the program has one name in every image.
ENTRYPOINT ["/bin/program"]

FROM runtime AS prebuilt
ARG PROGRAM=etcd_exporter
COPY --chmod=0755 bin/${PROGRAM} /bin/program

FROM ${BUILDER} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG PROGRAM=etcd_exporter
ARG VERSION=devel
ARG REVISION=unknown
ARG BUILD_DATE=unknown
RUN v=github.com/prometheus/common/version && CGO_ENABLED=0 go build -trimpath -tags disable_grpc_modules -o /program \
    -ldflags "-s -w -X $v.Version=${VERSION} -X $v.Revision=${REVISION} -X $v.BuildDate=${BUILD_DATE}" ./cmd/${PROGRAM}

FROM runtime
COPY --from=build /program /bin/program

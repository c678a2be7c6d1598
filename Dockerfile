# syntax=docker/dockerfile:1
# The controller as an image: one static binary and the certificates it needs for metric sources, no shell.
#   docker build --build-arg VERSION=v0.1.0 --tag REGISTRY/headway:v0.1.0 .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY apis apis
COPY analysis analysis
COPY cmd cmd
COPY controllers controllers
COPY trafficrouting trafficrouting
ARG VERSION=dev
ARG TARGETOS=linux
ARG TARGETARCH=amd64
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /headway ./cmd/headway

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="headway" \
      org.opencontainers.image.description="Progressive delivery for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /headway /headway
USER 65532:65532
EXPOSE 8080 8090
ENTRYPOINT ["/headway"]

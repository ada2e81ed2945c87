# Two images, each for linux/amd64 and linux/arm64, without a shell and without root's rights; `make image` builds and pushes both.
#   serve    isthmus alone, for a gateway that is there already
#   run      isthmus and an Envoy
# The build needs .git: the version that `isthmus version` prints is that of the checkout.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags='-s -w' -o /out/isthmus ./cmd/isthmus

FROM gcr.io/distroless/static-debian12:nonroot AS serve
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="isthmus" \
      org.opencontainers.image.description="An LLM gateway inside Envoy: the service, for an Envoy that is there already" \
      org.opencontainers.image.source="https://github.com/isthmus-proxy/isthmus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=build /out/isthmus /usr/local/bin/isthmus
USER 65532:65532
EXPOSE 9100 9102
ENTRYPOINT ["/usr/local/bin/isthmus"]

FROM envoyproxy/envoy:distroless-v1.40.0 AS run
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="isthmus" \
      org.opencontainers.image.description="An LLM gateway inside Envoy: the service, and an Envoy" \
      org.opencontainers.image.source="https://github.com/isthmus-proxy/isthmus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=build /out/isthmus /usr/local/bin/isthmus
ENV ENVOY_PATH=/usr/local/bin/envoy
USER 65532:65532
EXPOSE 4000 9102
ENTRYPOINT ["/usr/local/bin/isthmus"]

# The container image of vipwire, for linux/amd64 and linux/arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag vipwire:0.1.0 .
# It uses Debian 12, on which the kernel tests run: vipwire compares with the rules as that iptables (1.8.9) prints them.

# dist/ is the same for every architecture, so it is built once, on the architecture of the builder.
FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# The install scripts of packages would build native addons, but dist/ takes the prebuilt ones of netlink.
RUN npm ci --ignore-scripts --no-fund --no-audit
COPY bin bin
COPY src src
COPY scripts/build.mjs scripts/build.mjs
RUN node scripts/build.mjs

FROM node:24-bookworm-slim AS node

# Only the node binary is copied into the final image, without npm and a compiler.
FROM debian:bookworm-slim
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    ca-certificates conntrack ipset iptables ipvsadm kmod libatomic1 libstdc++6 nftables util-linux \
  && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/dist /opt/vipwire
COPY LICENSE /opt/vipwire/
# kOps starts kube-proxy through this script.
COPY scripts/go-runner /go-runner
RUN ln -s /opt/vipwire/vipwire.cjs /usr/local/bin/vipwire \
  && ln -s vipwire /usr/local/bin/kube-proxy \
  && kube-proxy --version
LABEL org.opencontainers.image.title="vipwire" \
  org.opencontainers.image.description="A Linux service proxy for Kubernetes that replaces kube-proxy" \
  org.opencontainers.image.licenses="Apache-2.0"
# It runs as root, with CAP_NET_ADMIN and CAP_NET_RAW, in the node's network namespace: see manifests/base/daemonset.yaml.
ENTRYPOINT ["/usr/local/bin/vipwire"]

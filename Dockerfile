# The broker and its command line. No secret and no policy is in the image: both are mounted.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY cli ./cli
COPY local-aws ./local-aws
COPY server ./server
COPY web ./web
RUN npx tsc -p . --sourceMap false && npx tsc -p web/browser

# Without the development packages, and without the optional ones: they hold the PostgreSQL of local mode.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && npm cache clean --force

FROM node:24-bookworm-slim
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/web/assets ./web/assets
COPY bin ./bin
COPY migrations ./migrations
COPY package.json LICENSE ./
# In a container loopback is the container alone. Local mode refuses both of these.
ENV NODE_ENV=production \
    WRIT_MODE=production \
    WRIT_HOST=0.0.0.0 \
    WRIT_POLICIES=/etc/writ/policies
USER node
EXPOSE 8420
ENTRYPOINT ["node", "/app/bin/writ.js"]
CMD ["serve"]
# Exec form: no shell runs. Behind WRIT_TLS_CERT_FILE give another check, over https.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.WRIT_PORT || 8420) + '/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

#!/usr/bin/env node
import { existsSync } from 'node:fs'

// The releases pinned here run on Node 20; the SDK's notice about later ones would greet every start.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'

const main = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(main)) {
  await (await import(main.href)).main(process.argv.slice(2))
} else {
  process.stderr.write('writ: it is not built yet; run `npm run build` first.\n')
  process.exitCode = 1
}

import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { PolicyDocument } from '../server/types.js'
import { startLocalAws } from './server.js'

/** Checked by local AWS itself when it takes the roles. */
const policy = z.custom<PolicyDocument>((value) => typeof value === 'object' && value !== null)

const CONFIG = z.strictObject({
  broker: z.strictObject({
    account: z.string().regex(/^\d{12}$/),
    accessKeyId: z.string().regex(/^[A-Z0-9]{16,128}$/),
    secretAccessKey: z.string().min(1),
    arn: z.string().exactOptional(),
  }),
  roles: z.array(
    z.strictObject({
      arn: z.string(),
      trustPolicy: policy,
      policies: z.record(z.string(), policy),
      maxSessionSeconds: z.number().int(),
    }),
  ),
  buckets: z.array(
    z.strictObject({
      name: z.string(),
      account: z.string(),
      objects: z.record(z.string(), z.string()).exactOptional(),
      versioning: z.boolean().exactOptional(),
      objectLock: z
        .union([
          z.literal(true),
          z.strictObject({ mode: z.enum(['GOVERNANCE', 'COMPLIANCE']), days: z.number().int().min(1) }),
        ])
        .exactOptional(),
    }),
  ),
  host: z.string().exactOptional(),
  port: z.number().int().exactOptional(),
  latencyMs: z.number().nonnegative().exactOptional(),
})

/** A process of its own, for benchmarks: JSON from a file or stdin, the URL as a JSON line, ends on SIGTERM. */
async function main(): Promise<void> {
  const text = readFileSync(process.argv[2] ?? 0, 'utf8')
  const aws = await startLocalAws(CONFIG.parse(JSON.parse(text)))
  const stop = (): void => void aws.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  process.stdout.write(`${JSON.stringify({ url: aws.url })}\n`)
}

await main()

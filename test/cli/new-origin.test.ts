import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startLocalAws } from '../../local-aws/server.js'
import { signCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { parseSignerKey } from '../../server/audit/merkle/keys.js'
import { bucketPlace } from '../../server/audit/publish/bucket.js'
import { openBucket } from '../../server/aws/s3.js'
import { command } from './support.js'

const CREDENTIALS = { accessKeyId: 'AKIALOCALAWSBROKER00', secretAccessKey: 'a-secret' }

t.test('a new origin where the log lies in a bucket alone', { timeout: 120_000 }, async (t) => {
  const { writ, folder } = command(t)
  const account = '111122223333'
  const aws = await startLocalAws({
    roles: [],
    buckets: [{ name: 'log', account, objectLock: true }],
    broker: { account, ...CREDENTIALS },
  })
  t.teardown(() => aws.close())
  const keyFile = join(folder, 'key')
  await writ(['audit', 'keygen', 'acme.example/log', '--out', keyFile])
  const env = (prefix: string) => ({
    WRIT_MODE: 'production',
    DATABASE_URL: 'postgres://writ@127.0.0.1/writ',
    WRIT_POLICIES: folder,
    WRIT_PUBLIC_URL: 'https://writ.example.com',
    WRIT_LOG_BUCKET: `s3://log/${prefix}`,
    WRIT_LOG_BUCKET_REGION: 'eu-west-1',
    WRIT_LOG_BUCKET_ENDPOINT: aws.url,
    WRIT_LOG_BUCKET_RETAIN_DAYS: '1',
    WRIT_LOG_KEY_FILE: keyFile,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  })
  const at = (prefix: string) =>
    openBucket(
      { bucket: 'log', prefix, region: 'eu-west-1', endpoint: aws.url, retainDays: 1 },
      { credentials: CREDENTIALS },
    )
  const old = await at('one/')
  t.teardown(() => old.close())
  const signer = parseSignerKey(await readKey(keyFile))
  const last = signCheckpoint({ origin: signer.name, size: 1, root: Buffer.alloc(32), extensions: [] }, [
    signer,
  ])
  await bucketPlace(old).write('checkpoint', last)
  const file = join(folder, 'last')
  writeFileSync(file, last)

  const begin = ['audit', 'new-origin', 'acme.example/log-2', '--reason', 'restored', '--json']
  const before = await readKey(keyFile)
  const same = await writ([...begin, '--checkpoint', file], { env: env('one') })
  t.match(same, { code: 1, stdout: /another prefix first/ }, same.stdout)
  t.equal(await readKey(keyFile), before, 'and the key is where it was')
  const begun = await writ([...begin, '--checkpoint', file], { env: env('two') })
  t.match(
    begun,
    { code: 0, json: { origin: 'acme.example/log-2', previous_origin: 'acme.example/log' } },
    begun.stdout,
  )
  t.equal(parseSignerKey(await readKey(keyFile)).name, 'acme.example/log-2')
  const fresh = await at('two/')
  t.teardown(() => fresh.close())
  const note = JSON.parse(String((await fresh.read('origin.json'))?.data))
  t.match(note, {
    previous_origin: 'acme.example/log',
    previous_checkpoint: last.toString(),
    reason: 'restored',
  })
  t.ok(await old.read('checkpoint'), 'the old log stays')
})

async function readKey(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim()
}

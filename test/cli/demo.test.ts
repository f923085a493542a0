import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectTo } from '../../cli/client.js'
import { playStory } from '../../cli/demo.js'
import type { Stage } from '../../cli/demo-stage.js'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker } from '../support/broker.js'

t.setTimeout(60_000)

async function stage(t: Test, policies?: string): Promise<Stage> {
  const { url, localAws, agentToken, operatorToken, enrol } = await startTestBroker(
    t,
    policies === undefined ? {} : { policies },
  )
  const target = { url, loopback: true, https: false }
  return {
    url,
    awsUrl: localAws.url,
    agent: (name) => connectTo(target, { read: () => agentToken(name) }),
    operator: (name) => connectTo(target, { read: () => operatorToken(name) }),
    keyOf: enrol,
    close: async () => undefined,
  }
}

/** The example policies, changed in one place. */
function changed(t: Test, file: string, from: string, to: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-demo-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(packageRoot(), 'policies'), folder, { recursive: true })
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  t.ok(text.includes(from), `${file} has ${from}`)
  // What only production may have goes with it.
  writeFileSync(path, text.replace(from, to).replace(/^break_glass:.*\n(?: .*\n)*/m, ''))
  return folder
}

t.test('the story is as told, also the second time', async (t) => {
  const here = await stage(t)
  const said: string[] = []
  await playStory(here, (text) => said.push(text))
  t.equal(said.filter((text) => !text.startsWith(' ')).length, 11)
  t.match(
    said.join('\n'),
    /approver_is_owner[\s\S]*signature_required[\s\S]*Granted[\s\S]*Written[\s\S]*grant_used_up/,
  )
  await playStory(here, () => undefined)
})

t.test('it notices what is not as told', async (t) => {
  const sisters = await stage(t, changed(t, 'operators/alice.yaml', 'teams: [orders]', 'teams: [sales]'))
  await t.rejects(
    playStory(sisters, () => undefined),
    { name: 'StoryError', message: /approver_is_owner/ },
  )
  const lax = await stage(
    t,
    changed(t, 'environments/production.yaml', 'tier: production', 'tier: development'),
  )
  await t.rejects(
    playStory(lax, () => undefined),
    { name: 'StoryError', message: /was not/ },
  )
})

import { basename } from 'node:path'
import type { Command } from 'commander'
import { confirm } from '../confirm.js'
import { parseDuration } from '../duration.js'
import type { CodeAnswer, CodeOptions } from '../enrolment-code.js'
import { type BrokerOptions, connect, onBroker, withJson } from '../options.js'
import { answer, fields, note, sayInstant, table } from '../output.js'
import { readKeyFile } from '../ssh-sign.js'
import { listProposals, type Proposal, vouchWithKey } from '../vouch.js'

interface Key {
  readonly id: string
  readonly operator: string
  readonly kind: string
  readonly label: string
  readonly added_at: string
  readonly vouched_by: string | null
  readonly last_used_at: string | null
  readonly removed_at: string | null
}

/** The keys that operators sign with. */
export function keyCommands(program: Command): void {
  const keys = program
    .command('keys')
    .summary('operators: the keys you sign decisions with')
    .description('Passkeys and security keys of operators. Passkeys are enrolled at the console.')

  onBroker(keys.command('list'), 'operator')
    .summary('your keys, removed ones too')
    .option('--operator <name>', 'of somebody else; for admin and security')
    .action(async (options: BrokerOptions & { operator?: string }) => {
      const { broker } = connect('operator', options)
      const page = await broker.get<{ items: readonly Key[] }>('/v1/operator-keys', {
        operator: options.operator,
      })
      answer(options, page, () => shown(page.items))
    })

  onBroker(keys.command('add'), 'operator')
    .summary('propose a FIDO2 SSH key of yours; somebody else vouches for it')
    .requiredOption('--ssh <file>', 'its .pub file, as `ssh-keygen -t ed25519-sk -O verify-required` made it')
    .option('--label <text>', 'what you call it; else the name of the file')
    .action(async (options: BrokerOptions & { ssh: string; label?: string }) => {
      const { broker } = connect('operator', options)
      const { public_key } = await readKeyFile(options.ssh)
      const label =
        options.label ??
        basename(options.ssh)
          .replace(/\.pub$/, '')
          .slice(0, 64)
      const body = { kind: 'ssh-sk', public_key, label }
      const done = await broker.send<{ proposal: string; key_id: string }>('POST', '/v1/operator-keys', body)
      answer(
        options,
        done,
        () =>
          `Key ${done.key_id} waits as ${done.proposal}, for a day, for somebody else to vouch for it: writ keys vouch ${done.proposal}`,
      )
    })

  onBroker(keys.command('proposals'), 'operator')
    .summary('keys that wait for somebody to vouch for them')
    .action(async (options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const page = await listProposals(broker)
      answer(options, page, () => shownProposals(page.items))
    })

  onBroker(keys.command('vouch'), 'operator')
    .summary("sign, with a key of yours, that a key is its operator's")
    .argument('<proposal>', 'id of what waits, as `writ keys proposals` lists it')
    .option('--key <file>', 'FIDO2 SSH key to sign with; else one of yours in ~/.ssh')
    .action((id: string, options: BrokerOptions & { key?: string }) => vouchWithKey(id, options))

  onBroker(keys.command('remove'), 'operator')
    .summary('remove a key for ever: lost, replaced, or no longer yours')
    .argument('<id>', 'id of the key; after `--` where it begins with a dash')
    .option('--yes', 'do not ask for confirmation')
    .action(async (id: string, options: BrokerOptions & { yes?: boolean }) => {
      const { broker } = connect('operator', options)
      if (options.yes !== true) await confirm(`Remove ${id}? It can never be enrolled again.`)
      const path = `/v1/operator-keys/${encodeURIComponent(id)}`
      const done = await broker.send<{ of: string; left: number }>('DELETE', path)
      answer(
        options,
        done,
        () => `Removed. ${done.of} has ${done.left === 1 ? 'one key' : `${done.left} keys`} left.`,
      )
      if (done.left === 0)
        note(
          `Next: a new one takes somebody else's voucher, or a code: writ operators code ${done.of} --by WHO`,
        )
    })
}

/** What the owner of the database does for operators. */
export function operatorCommands(program: Command): void {
  const operators = program
    .command('operators')
    .summary('let an operator enrol a first key')
    .description('Operators, on the machine of the broker.')

  withJson(operators.command('code'))
    .summary('a one-time code with which an operator enrols a key')
    .description(
      'Make a one-time code with which an operator enrols a passkey: their first, or after the loss of all. Runs as the login in WRIT_MIGRATE_DATABASE_URL; in local mode, on the database of the running broker. The code is a secret: give it to that person and nobody else, on a way on which you know them. A code made before for the same name is over.',
    )
    .argument('<name>', 'name of the operator')
    .requiredOption('--by <name>', 'who makes it, for the record')
    .option('--valid <duration>', 'how long it is good for; a day at most', parseDuration, 3600)
    .action(async (name: string, options: CodeOptions & { json?: boolean }) => {
      const { enrolmentCode } = await import('../enrolment-code.js')
      const made = await enrolmentCode(name, options)
      answer(options, made, () => sayCode(made))
    })
}

const sayCode = ({ operator, code, link, expires_at }: CodeAnswer): string =>
  fields([
    ['Operator', operator],
    ['Code', code],
    ['Link', link ?? '/console/enrol at the address of the console'],
    ['Until', sayInstant(expires_at)],
  ])

const shown = (keys: readonly Key[]): string =>
  table(
    ['KEY', 'KIND', 'LABEL', 'ADDED', 'VOUCHED BY', 'LAST USED', 'REMOVED'],
    keys.map((one) => [
      one.id,
      one.kind,
      one.label,
      sayInstant(one.added_at),
      one.vouched_by ?? '(a code)',
      one.last_used_at === null ? '-' : sayInstant(one.last_used_at),
      one.removed_at === null ? '-' : sayInstant(one.removed_at),
    ]),
    'No keys.',
  )

const shownProposals = (proposals: readonly Proposal[]): string =>
  table(
    ['PROPOSAL', 'OPERATOR', 'KIND', 'LABEL', 'KEY', 'UNTIL', ''],
    proposals.map((one) => [
      one.id,
      one.operator,
      one.kind,
      one.label,
      one.key_id,
      sayInstant(one.expires_at),
      one.may_vouch ? 'you may vouch' : '',
    ]),
    'Nothing waits.',
  )

import type { Command } from 'commander'
import type { Serving } from '../../server/main.js'
import type { PolicySet } from '../../server/types.js'
import { withJson } from '../options.js'
import { answer, note } from '../output.js'

/** The broker's own side. Its parts are loaded in the actions only: a client's verbs start without them. */
export function serveCommands(program: Command): void {
  program
    .command('serve')
    .summary('start the broker')
    .description(
      'Start the broker. With nothing configured it runs in local mode: its own PostgreSQL in .writ/, a local AWS, the example policies, loopback only. Settings: `writ config`.',
    )
    .action(async () => {
      const [{ readConfig }, { serveUntilSignal }] = await Promise.all([
        import('../../server/config.js'),
        import('../../server/main.js'),
      ])
      const config = readConfig()
      await serveUntilSignal(config, (serving) => {
        if (config.mode !== 'local' || !process.stderr.isTTY) return
        welcome(serving, config.dataDir).then(note, () => note(usage(serving.url)))
      })
    })

  withJson(program.command('migrate'))
    .summary("bring the broker's database up to date")
    .description(
      'Apply the migrations that the database does not have yet, as the login in WRIT_MIGRATE_DATABASE_URL, and check that the login in DATABASE_URL, where it is set, can do no more than a broker may. Local mode migrates by itself.',
    )
    .action(async (options: { json?: boolean }) => {
      const { migrateDatabase } = await import('../migrate.js')
      const migrated = await migrateDatabase()
      answer(options, migrated, () =>
        [
          migrated.applied.length === 0
            ? `The database is up to date, at migration ${migrated.version}.`
            : `Applied ${migrated.applied.join(', ')}; the database is at migration ${migrated.version}.`,
          migrated.broker_login_checked
            ? "The broker's login can do what it needs and nothing more."
            : 'DATABASE_URL is not set, so the login of the broker was not checked.',
        ].join('\n'),
      )
    })

  withJson(program.command('config'))
    .summary('show the effective settings of the broker')
    .description(
      'Show the settings that `writ serve` would start with, passwords masked, and every setting there is.',
    )
    .action(async (options: { json?: boolean }) => {
      const { readConfig, shownConfig } = await import('../../server/config.js')
      const { describeSettings } = await import('../../server/settings.js')
      const shown = shownConfig(readConfig())
      answer(options, shown, () => {
        const width = Math.max(...Object.keys(shown).map((name) => name.length)) + 2
        const effective = Object.entries(shown).map(
          ([name, value]) =>
            `  ${name.padEnd(width)}${typeof value === 'string' ? value : JSON.stringify(value)}`,
        )
        const settings = describeSettings().map(
          ({ name, meaning, file }) => `  ${name}${file ? ` (or ${name}_FILE)` : ''}\n      ${meaning}`,
        )
        return ['Effective:', ...effective, '', 'Settings:', ...settings].join('\n')
      })
    })
}

/** What to do next; on a first run with the link that enrols the first operator's passkey. */
async function welcome(serving: Serving, dataDir: string): Promise<string> {
  const [{ asOwner, localOwnerUrl }, { firstRunLink }, { createLog }] = await Promise.all([
    import('../../server/db/owner.js'),
    import('../../server/operators/codes.js'),
    import('../../server/log.js'),
  ])
  const operator = firstOperator(serving.policySet())
  const link =
    operator === undefined
      ? undefined
      : await asOwner(await localOwnerUrl(dataDir), createLog('silent'), (owner) =>
          firstRunLink(owner, serving.consoleUrl, operator),
        )
  return link === undefined
    ? `${usage(serving.url)}The console: ${serving.consoleUrl}/console`
    : `${usage(serving.url)}The console, with a passkey for ${operator} (good once, for an hour):\n  ${link}\n`
}

/** Whoever may decide alone in an emergency can decide on the most; else the first approver. */
function firstOperator({ operators, environments }: PolicySet): string | undefined {
  const [trusted] = [...environments.values()].flatMap(({ breakGlass }) => [...(breakGlass?.operators ?? [])])
  return trusted ?? [...operators.values()].find(({ roles }) => roles.has('approver'))?.name
}

const usage = (url: string): string => `
Writ runs at ${url}, for trying it out on this machine. In another terminal:
  npx writ whoami --as orders-coder
  npx writ exec --as orders-coder --env development --scope orders:read -- aws s3 ls s3://orders-development
  npm run demo
`

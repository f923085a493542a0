import type { Command } from 'commander'
import { EXIT } from '../exit.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, note } from '../output.js'
import { type Diagnosis, type Reach, showDiagnosis, showReach } from '../show-reach.js'

interface ReachOptions extends BrokerOptions {
  readonly environment?: string
}

interface DoctorOptions extends ReachOptions {
  readonly agent?: string
}

/** What agents can do, and whether IAM agrees. */
export function reachCommands(program: Command): void {
  onBroker(program.command('reach'), 'operator')
    .summary('what an agent can do: now, with a grant, never')
    .description(
      'What an agent can do in each environment, down to actions and resources: at this moment, with a grant, never and why. Without a name, with a token of an agent: what that agent can do.',
    )
    .argument('[agent]', 'name of the agent')
    .option('--environment <name>', 'this environment only')
    .action(async (agent: string | undefined, options: ReachOptions) => {
      const { broker } = connect(agent === undefined ? 'agent' : 'operator', options)
      const path = agent === undefined ? '/v1/reach' : `/v1/agents/${encodeURIComponent(agent)}/reach`
      const reach = await broker.get<Reach>(path, { environment: options.environment })
      answer(options, reach, () => showReach(reach))
    })

  onBroker(program.command('doctor'), 'operator')
    .summary('compare the roles in IAM with what policy says')
    .description(
      'Compare every role in IAM with what policy says: who may assume it, for how long, what it allows; each finding with the command that mends it. Exit code 1: there are errors or warnings.',
    )
    .option('--environment <name>', 'roles of this environment only')
    .option('--agent <name>', 'roles of this agent only')
    .action(async (options: DoctorOptions) => {
      const { broker } = connect('operator', options)
      const pages: Diagnosis[] = []
      let after: string | undefined
      do {
        const page: Diagnosis = await broker.get('/v1/doctor', {
          environment: options.environment,
          agent: options.agent,
          after,
        })
        pages.push(page)
        after = page.next ?? undefined
        if (after !== undefined) note(`${pages.reduce((sum, one) => sum + one.checked, 0)} roles compared …`)
      } while (after !== undefined)
      const all = together(pages)
      answer(options, all, () => showDiagnosis(all))
      process.exitCode = all.clean ? EXIT.ok : EXIT.unexpected
    })
}

/** What is said of an account comes with each page: told once. */
function together(pages: readonly Diagnosis[]): Diagnosis {
  const [first] = pages
  if (first === undefined) throw new Error('no page')
  const findings = new Map(pages.flatMap((page) => page.findings).map((one) => [JSON.stringify(one), one]))
  return {
    ...first,
    checked: pages.reduce((sum, one) => sum + one.checked, 0),
    clean: pages.every(({ clean }) => clean),
    findings: [...findings.values()],
    next: null,
  }
}

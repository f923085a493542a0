import type { Command } from 'commander'
import { clientEnvironment } from '../environment.js'
import { usageError } from '../exit.js'
import { withJson } from '../options.js'
import { answer } from '../output.js'

interface RoleOptions {
  readonly broker: string
  readonly env?: string
  readonly agent?: string
}

/** Offline: reads a policy folder and nothing else. */
export function policyCommands(program: Command): void {
  const policy = program
    .command('policy')
    .summary('offline: check a policy folder, and what follows from it')
    .description('Check a folder of policy documents and print what follows from it. Needs no broker.')

  withJson(policy.command('lint'))
    .summary('check a policy folder; exit 1 with every problem as file:line:column')
    .argument('[folder]', 'default: WRIT_POLICIES, else the example set')
    .action(async (folder: string | undefined, options: { json?: boolean }) => {
      const { folder: path, policySet } = await load(folder)
      const { environments, agents, scopes, operators, issuers, digest } = policySet
      const counts = {
        environments: environments.size,
        scopes: scopes.size,
        agents: agents.size,
        operators: operators.size,
        issuers: issuers.length,
      }
      answer(options, { ok: true, folder: path, digest, ...counts, problems: [] }, () => {
        const all = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`)
        return `${path} is sound: ${all.join(', ')}.\n${digest}`
      })
    })

  withJson(policy.command('digest'))
    .summary('print the digest that names a policy set')
    .argument('[folder]', 'default: WRIT_POLICIES, else the example set')
    .action(async (folder: string | undefined, options: { json?: boolean }) => {
      const { digest } = (await load(folder)).policySet
      answer(options, { digest }, () => digest)
    })

  policy
    .command('schema')
    .summary('print the JSON Schema of policy documents, for editors')
    .action(async () => {
      const { jsonSchema } = await import('../../server/policy/reference.js')
      process.stdout.write(jsonSchema())
    })

  policy
    .command('roles')
    .summary('print the IAM roles that a policy set needs, as JSON')
    .description(
      'Print every IAM role that the policy set names, as it should be: trust policy, permissions, longest session. A role has what all its agents may ever need; each session is narrowed further.',
    )
    .argument('[folder]', 'default: WRIT_POLICIES, else the example set')
    .requiredOption('--broker <arn>', 'ARN of the IAM principal that the broker runs as')
    .option('--env <name>', 'roles of this environment only')
    .option('--agent <name>', 'roles of this agent only')
    .action(async (folder: string | undefined, options: RoleOptions) => {
      if (!/^arn:aws[a-z-]*:(iam|sts)::\d{12}:(role|user|assumed-role)\/\S+$/.test(options.broker)) {
        throw usageError('--broker is not the ARN of an IAM role or user.')
      }
      const { policySet } = await load(folder)
      const { roleDocuments } = await import('../../server/policy/roles.js')
      const agent = options.agent === undefined ? undefined : policySet.agents.get(options.agent)
      if (options.agent !== undefined && agent === undefined)
        throw unknown('agent', options.agent, policySet.agents)
      if (options.env !== undefined && !policySet.environments.has(options.env)) {
        throw unknown('environment', options.env, policySet.environments)
      }
      const own = new Set(
        [...(agent?.environments.values() ?? [])].flatMap(({ roles }) => Object.values(roles)),
      )
      const shown = roleDocuments(policySet, options.broker).filter(
        ({ arn, environment }) =>
          (options.env === undefined || environment === options.env) && (agent === undefined || own.has(arn)),
      )
      process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`)
    })
}

async function load(named: string | undefined) {
  const { loadPolicies, policyFolder } = await import('../policies.js')
  const folder = policyFolder(named, clientEnvironment())
  return { folder, policySet: await loadPolicies(folder) }
}

const unknown = (kind: string, name: string, all: ReadonlyMap<string, unknown>) =>
  usageError(`The policy set has no ${kind} ${name}.`, `There is: ${[...all.keys()].join(', ')}.`)

/** Adapters from an object store that others wrote: the suite that our double passes, signatures checked for real. */
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { openEngine } from '../../scripts/engines/frame.ts';
import { S3_KEYS, S3_REGION, s3 } from '../../scripts/engines/s3.ts';
import { bucketConformance } from '../../src/testing/bucket-conformance.ts';
import { skipUnlessAsked } from './when-asked.ts';

const LIFE_MS = 120_000;
const never = new AbortController().signal;

bucketConformance(
  'versitygw',
  async () => {
    const server = await openEngine(s3, { lifeMs: LIFE_MS }, never);
    const client = new S3Client({
      endpoint: server.origin,
      forcePathStyle: true,
      region: S3_REGION,
      credentials: S3_KEYS,
    });
    const made = new Set<string>();
    return {
      port: Number(new URL(server.origin).port),
      environment: {
        AWS_REGION: S3_REGION,
        AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
      },
      checksKeys: true,
      put: async (bucket, key, bytes) => {
        if (!made.has(bucket)) await makeBucket(client, bucket);
        made.add(bucket);
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
      },
      [Symbol.asyncDispose]: async () => {
        client.destroy();
        await server[Symbol.asyncDispose]();
      },
    };
  },
  skipUnlessAsked(s3, 1),
);

/** An earlier run's is good: what is in it is written over. */
async function makeBucket(client: S3Client, bucket: string): Promise<void> {
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if ((error as Error).name !== 'BucketAlreadyOwnedByYou') throw error;
  }
}

/** On every page while paid calls are stopped: nobody must look for why the cloud is silent. */
export function SpendingBanner({ isOnService }: { isOnService: boolean }) {
  return (
    <p className="off-banner" role="alert">
      <span>
        <strong>All paid calls are stopped.</strong> NPCs speak with local engines and written lines.{' '}
        <a href="#/service" aria-current={isOnService ? 'page' : undefined}>
          See Service
        </a>
      </span>
    </p>
  );
}

"""The thinking of the platform: functions over records, pure wherever they can be."""
